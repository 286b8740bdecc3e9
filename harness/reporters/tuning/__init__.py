"""What a tuning leaves for people: tables, figures and a page. In: a frame of trials. Out: files. It runs nothing."""
