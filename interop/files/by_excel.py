"""Workbooks as openpyxl, XlsxWriter and pandas write them."""
import datetime

import openpyxl, pandas, xlsxwriter

from checks import check, days, folder, person, refused, some, times, units, whole

numbers = some([0.5, -1.234, 1e21, 1234567.891])
words = some(["north", "süd", "a,b", 'say "hi"', "two\nlines", "007", "\U0001f600"])
flags = some([True, False])
# Days that Excel has.
dates = [v if v is None or v.year > 1900 else v.replace(year=1901) for v in days]
moments = [v if v is None or v.year > 1970 else v.replace(year=1971) for v in times]
# Of these, what Excel keeps.
want = {"n": whole, "f": numbers, "t": words, "b": flags, "day": dates, "w": moments}


def write():
    rows = list(zip(person, whole, numbers, words, flags, dates, moments))
    header = ["person", *want]
    book = openpyxl.Workbook()
    book.active.append(header)
    for row in rows:
        book.active.append(row)
    book.save(folder / "openpyxl.xlsx")
    check("openpyxl", folder / "openpyxl.xlsx", want)
    book.save(folder / "UPPER.XLSX")
    check("UPPER.XLSX", folder / "UPPER.XLSX", want)
    # Of several sheets the one that has the columns, below a title.
    notes = book.create_sheet("notes", 0)
    notes.append(["what", "this", "is"])
    book["Sheet"].insert_rows(1, 3)
    book["Sheet"]["A1"] = "Report, of\nall\n\npeople"
    book.save(folder / "titled.xlsx")
    check("a title above the header", folder / "titled.xlsx", want, read="[read]\nskip = 3\n")
    for memory, old in ((False, False), (True, False), (False, True)):
        path = folder / f"xlsxwriter-{memory}-{old}.xlsx"
        with xlsxwriter.Workbook(path, {"constant_memory": memory, "default_date_format": "yyyy-mm-dd hh:mm:ss", "date_1904": old}) as book:
            sheet = book.add_worksheet()
            for i, row in enumerate([header, *rows]):
                for j, value in enumerate(row):
                    if value is not None:
                        sheet.write(i, j, value)
        # Excel of 1904 has no days before.
        check(path.name, path, {n: v for n, v in want.items() if not old or n not in ("day",)})
    frame = pandas.DataFrame(dict(zip(header, zip(*rows))))
    frame["n"], frame["w"] = pandas.array(whole, "Int64"), pandas.to_datetime(pandas.Series(moments))
    for engine in ("openpyxl", "xlsxwriter"):
        frame.to_excel(folder / f"pandas-{engine}.xlsx", index=False, engine=engine)
        check(f"pandas by {engine}", folder / f"pandas-{engine}.xlsx", want)
    mixed()
    return f"openpyxl {openpyxl.__version__}, XlsxWriter {xlsxwriter.__version__}"


def mixed():
    """Cells of several kinds in a column, formulas and errors."""
    book = openpyxl.Workbook()
    book.active.append(["person", "n"])
    for i, one in enumerate(person):
        book.active.append([f"p{one}" if i % 2 else one, one])
    book.save(folder / "mixed.xlsx")
    units("people named by numbers and words", folder / "mixed.xlsx")
    for value, word in (("#DIV/0!", "#DIV/0!"), ("1,5 or so", "1,5 or so"), (datetime.date(2021, 1, 1), "2021-01-01")):
        book.active["B9"] = value
        book.save(folder / "odd.xlsx")
        refused(f"{value} among numbers", folder / "odd.xlsx", word, "row 9", "`n`", bounds=True)
    (folder / "old.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600)
    refused("an old workbook", folder / "old.xls", "CSV")
