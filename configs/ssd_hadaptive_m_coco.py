_base_ = "detection/ssd_hadaptive_m_coco.py"
