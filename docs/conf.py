"""Configuration of the documentation site; `make docs` builds it into build/docs.

The build reads nothing from the network: no inventories of other projects, no fonts, no scripts from elsewhere.
"""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_ext"))

from sfumato import __version__  # noqa: E402

project = "sfumato"
author = "The sfumato authors"
copyright = "the sfumato authors, Apache-2.0"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
    "docstrings",
    "layers",
]
exclude_patterns = ["_ext"]
html_static_path = ["_static"]
html_css_files = ["sfumato.css"]

html_theme = "furo"
html_title = "sfumato"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f5fa8", "color-brand-content": "#1f5fa8"},
    "dark_css_variables": {"color-brand-primary": "#7db4ee", "color-brand-content": "#7db4ee"},
}
pygments_style = "friendly"

# Every link to a page or a heading has to lead somewhere; `make docs` makes a warning an error. Names in docstrings and
# signatures are links where they are public names of the package, and otherwise stay as they are: arguments, private
# names, names of other projects, whose inventories would have to be fetched.
nitpicky = True
nitpick_ignore_regex = [(r"py:(class|obj|exc|data|attr)", r".*")]

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
