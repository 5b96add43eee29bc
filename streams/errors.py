"""Every error of ours, one class per decision that a caller may take.

TrustwatchError
├── InputError          the caller's input or settings are wrong: told in a line, exit 2
│   ├── SettingsError   a key, a value or a file of the settings
│   ├── BrandsError     the brands file
│   └── ModelError      a model that cannot be loaded as asked
├── RejectedError       one record cannot be judged: it goes to the dead letters with its reason
├── TopicsError         the topics are not what they must be: exit 3 from `topics check`
└── BrokerError         no broker answers, or it refused: stop, and start again later
"""


class TrustwatchError(Exception):
    """The root of the tree."""


class InputError(TrustwatchError):
    """What the caller gave is wrong; the text says what, where and how to mend it."""


class SettingsError(InputError):
    """A setting is unknown, malformed or out of range."""


class BrandsError(InputError):
    """The brands file cannot be used."""


class ModelError(InputError):
    """A model is missing, damaged or of an unknown kind."""


class RejectedError(TrustwatchError):
    """A record that cannot be judged.

    Attributes:
        reason: a short, bounded word for metrics and headers, such as `not_json`.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason


class TopicsError(TrustwatchError):
    """The topics on the broker differ from the declared ones."""


class BrokerError(TrustwatchError):
    """The broker is away or said no; nothing was acknowledged."""
