_base_ = ["_base_/models/ssd_hadaptive_l.py", "_base_/coco.py"]
