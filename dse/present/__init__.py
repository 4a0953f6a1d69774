"""What a search shows: tables, plots, the report page and the files it leaves."""
