"""Tables, figures and the page of an evaluation."""
