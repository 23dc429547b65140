"""The site for reviewers: a run's notebooks, figures, claims and code as pages that link."""
