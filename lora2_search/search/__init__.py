"""Many runs on Ray, chosen by Optuna."""
