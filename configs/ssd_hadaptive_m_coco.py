_base_ = ["_base_/models/ssd_hadaptive_m.py", "_base_/coco.py"]
