"""What a tidegate guest in Python needs beside the generated `wit_world`. `print` has nowhere to go and would end the call: use `log`."""
from wit_world.imports import host


def log(message):
    """A line for the author, shown in rehearsal."""
    host.log(str(message))


def params():
    """The parameters that were signed with the job, as text."""
    return host.params().decode()


def data(offset=0, length=None):
    """The bytes that came with the program, such as the weights of a model: some of them, or all."""
    return host.data(offset, host.data_len() - offset if length is None else length)


def number(column, row):
    """A column's value in `row` as a float, flags as 0.0 and 1.0; None where it is missing, a text, bytes, or beyond the rows."""
    values = column.values.value
    if row >= len(values) or column.valid and not column.valid[row] or isinstance(values[row], (str, bytes)):
        return None
    return float(values[row])
