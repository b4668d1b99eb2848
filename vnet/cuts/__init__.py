"""Network splits: a cut as data, the shapes that make one, the step that puts it in force."""
