"""How the report is drawn: tables, figures, number formats, HTML, Markdown and LaTeX."""
