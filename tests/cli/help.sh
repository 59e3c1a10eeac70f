# Help comes from the tables of the program.
facewash version
facewash --version
facewash help | sed '/one stage:/s/: .*/: STAGES/'
facewash help status
facewash help detect
facewash help settings | head -n 4
facewash help settings | grep -c ' = '
facewash help detect --set detect.size=800 | grep 'detect.size'
