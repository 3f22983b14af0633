"""The report for other tools and for plain text: Markdown, JUnit XML, SARIF, rows as CSV. HTML is `service.pages`."""
