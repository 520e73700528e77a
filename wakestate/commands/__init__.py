"""The program `wakestate`: a module for each noun. What takes long to load is loaded when it runs."""
