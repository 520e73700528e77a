"""Training: pools of scenes, the learner, distillation, checkpoints."""
