_base_ = ["_base_/models/ssd_hadaptive_s.py", "_base_/coco.py"]
