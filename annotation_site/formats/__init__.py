"""Where our way of writing dates differs from Django's, language by language."""
