_base_ = "detection/ssd_hadaptive_s_coco.py"
