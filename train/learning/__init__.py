# SPDX-License-Identifier: Apache-2.0
"""Training: pools of scenes, the learner, distillation, checkpoints."""
