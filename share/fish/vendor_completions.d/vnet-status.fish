# Completions of vnet-status for fish. Written by `python -m vnet.share` from the commands' own parsers: change it there.

# Ask vnet for names, of the lab that -n or -f on the command line mean.
function __vnet_names
    set -l words (commandline -opc)
    set -l program (string replace -r 'vnet[a-z-]*$' vnet -- $words[1])
    command -q $program; or set program vnet
    set -l given
    for option in -n -f
        set -l at (contains -i -- $option $words); and set -q words[(math $at + 1)]
        and set -a given $option $words[(math $at + 1)]
    end
    command $program _names $argv[1] $given 2> /dev/null
end

# Tell whether so many words that are no options were given; the first argument lists the options that take a value.
function __vnet_given
    set -l words (commandline -opc)
    set -l open ''
    set -l given
    for word in $words[2..-1]
        if contains -- $word (string split ' ' -- $argv[1])
            set open $word
        else if test -n "$open"
            set open ''
        else if not string match -q -- '-*' $word
            set -a given $word
        end
    end
    test (count $given) $argv[2] $argv[3]
end

complete -c vnet-status -f
complete -c vnet-status -s h -l help -d 'show this help message and exit'
complete -c vnet-status -s f -r -F -d 'the project\'s settings; default: vnet.toml here or above'
complete -c vnet-status -s n -x -a '(__vnet_names labs)' -d 'the lab\'s name; default: VNET_LAB, or that of the project here'
complete -c vnet-status -s q -d 'say nothing but errors'
complete -c vnet-status -s v -d 'show each command before it runs'
complete -c vnet-status -l debug -d 'show a traceback with an error'
complete -c vnet-status -l version -d 'show program\'s version number and exit'
complete -c vnet-status -l probe -d 'try who reaches whom, with real packets'
complete -c vnet-status -l json -d 'print it as JSON'
complete -c vnet-status -l graph -x -a 'dot mermaid svg' -d 'print a picture: for Graphviz, for Markdown, or drawn'
