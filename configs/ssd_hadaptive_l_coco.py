_base_ = "detection/ssd_hadaptive_l_coco.py"
