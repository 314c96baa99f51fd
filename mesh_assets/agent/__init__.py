"""What an agent may ask, over the functions that the command line, the portal and the JSON API use."""
