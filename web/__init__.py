"""Every HTTP door: the application factory, the REST API, the UI and the status plane."""
