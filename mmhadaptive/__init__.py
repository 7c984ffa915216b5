"""Hadaptive-Net and adaptive cross-Hadamard products for the OpenMMLab toolkits."""
