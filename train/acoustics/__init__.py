"""How sound reaches the microphone: rooms, noise, playback, conditions of real life."""
