module spread

go 1.24
