"""Options of a run: one flat set, sorted by data, model and training, and written to and read from `config.toml`."""

from sfumato.config.declared import Setting as Setting
from sfumato.config.declared import settings as settings
from sfumato.config.run_config import Config as Config
from sfumato.config.run_config import resolve as resolve
