"""What people see: pages that are whole in one file, without a foreign host.

`templates/base.html` and `static/pages.css` are shared by all pages; a page is a template that extends the base and a
module that prepares what it shows. Only `routes` and `session` know HTTP.
"""
