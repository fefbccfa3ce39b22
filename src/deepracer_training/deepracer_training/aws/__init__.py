"""AWS's files: models, traces and metrics of DeepRacer's consoles and of deepracer-for-cloud, read and written."""
