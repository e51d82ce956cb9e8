"""Pages and Markdown of studies and suites."""
