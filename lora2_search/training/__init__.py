"""One run from configuration to record: Accelerate, transformers and PEFT, no Ray, no MLflow."""
