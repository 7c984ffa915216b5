# A network of timm, by its model_name, with the head that timm gives it.
model = dict(type="TimmClassifier", pretrained=False)
