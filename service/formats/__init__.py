"""The report for other tools: Markdown, a model card, JUnit XML, SARIF, rows as tables. HTML is `service.pages`."""
