//! Foreign text never controls the terminal, and `alerts` and `check` answer for any time and any configuration.
