# SPDX-License-Identifier: Apache-2.0
"""How sound reaches the microphone: rooms, noise, playback, conditions of real life."""
