# Completions of vnet for fish. Written by `python -m vnet.share` from the commands' own parsers: change it there.

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

complete -c vnet -f
complete -c vnet -n 'not __fish_seen_subcommand_from up down exec partition run status doctor' -a up -d 'bring a lab up, or to what its settings say now'
complete -c vnet -n 'not __fish_seen_subcommand_from up down exec partition run status doctor' -a down -d 'take a lab away'
complete -c vnet -n 'not __fish_seen_subcommand_from up down exec partition run status doctor' -a exec -d 'run a command in a node of a lab'
complete -c vnet -n 'not __fish_seen_subcommand_from up down exec partition run status doctor' -a partition -d 'set who in a lab can talk to whom'
complete -c vnet -n 'not __fish_seen_subcommand_from up down exec partition run status doctor' -a run -d 'bring a lab up, run its guests\' commands, take it away'
complete -c vnet -n 'not __fish_seen_subcommand_from up down exec partition run status doctor' -a status -d 'show what is up'
complete -c vnet -n 'not __fish_seen_subcommand_from up down exec partition run status doctor' -a doctor -d 'find what is missing or in the way'
complete -c vnet -n '__fish_seen_subcommand_from up' -s h -l help -d 'show this help message and exit'
complete -c vnet -n '__fish_seen_subcommand_from up' -s f -r -F -d 'the project\'s settings; default: vnet.toml here or above'
complete -c vnet -n '__fish_seen_subcommand_from up' -s n -x -a '(__vnet_names labs)' -d 'the lab\'s name; default: VNET_LAB, or that of the project here'
complete -c vnet -n '__fish_seen_subcommand_from up' -s q -d 'say nothing but errors'
complete -c vnet -n '__fish_seen_subcommand_from up' -s v -d 'show each command before it runs'
complete -c vnet -n '__fish_seen_subcommand_from up' -l debug -d 'show a traceback with an error'
complete -c vnet -n '__fish_seen_subcommand_from up' -l version -d 'show program\'s version number and exit'
complete -c vnet -n '__fish_seen_subcommand_from up' -l host-ip -x -d 'the host\'s address; default 172.18.255.1'
complete -c vnet -n '__fish_seen_subcommand_from up' -l dry-run -d 'print the commands, run none'
complete -c vnet -n '__fish_seen_subcommand_from up' -l no-iptables -d 'leave the host\'s firewall alone'
complete -c vnet -n '__fish_seen_subcommand_from up' -l owner -x -d 'the process it is for; see vnet-down --orphans'
complete -c vnet -n '__fish_seen_subcommand_from up' -l json -d 'print what is up then, as vnet-status --json'
complete -c vnet -n '__fish_seen_subcommand_from up; and __vnet_given "-f -n --host-ip --owner" -ge 1' -x -a '(__vnet_names settings)'
complete -c vnet -n '__fish_seen_subcommand_from down' -s h -l help -d 'show this help message and exit'
complete -c vnet -n '__fish_seen_subcommand_from down' -s f -r -F -d 'the project\'s settings; default: vnet.toml here or above'
complete -c vnet -n '__fish_seen_subcommand_from down' -s n -x -a '(__vnet_names labs)' -d 'the lab\'s name; default: VNET_LAB, or that of the project here'
complete -c vnet -n '__fish_seen_subcommand_from down' -s q -d 'say nothing but errors'
complete -c vnet -n '__fish_seen_subcommand_from down' -s v -d 'show each command before it runs'
complete -c vnet -n '__fish_seen_subcommand_from down' -l debug -d 'show a traceback with an error'
complete -c vnet -n '__fish_seen_subcommand_from down' -l version -d 'show program\'s version number and exit'
complete -c vnet -n '__fish_seen_subcommand_from down' -l all -d 'every lab of yours'
complete -c vnet -n '__fish_seen_subcommand_from down' -l orphans -d 'every lab of yours whose --owner has ended'
complete -c vnet -n '__fish_seen_subcommand_from down' -l gateway -d 'every lab, the gateway, and all on the host'
complete -c vnet -n '__fish_seen_subcommand_from down' -l dry-run -d 'print the commands, run none'
complete -c vnet -n '__fish_seen_subcommand_from down; and __vnet_given "-f -n" -ge 1' -x -a '(__vnet_names guests)'
complete -c vnet -n '__fish_seen_subcommand_from exec' -s h -l help -d 'show this help message and exit'
complete -c vnet -n '__fish_seen_subcommand_from exec' -s f -r -F -d 'the project\'s settings; default: vnet.toml here or above'
complete -c vnet -n '__fish_seen_subcommand_from exec' -s n -x -a '(__vnet_names labs)' -d 'the lab\'s name; default: VNET_LAB, or that of the project here'
complete -c vnet -n '__fish_seen_subcommand_from exec' -s q -d 'say nothing but errors'
complete -c vnet -n '__fish_seen_subcommand_from exec' -s v -d 'show each command before it runs'
complete -c vnet -n '__fish_seen_subcommand_from exec' -l debug -d 'show a traceback with an error'
complete -c vnet -n '__fish_seen_subcommand_from exec' -l version -d 'show program\'s version number and exit'
complete -c vnet -n '__fish_seen_subcommand_from exec' -l root -d 'be root in the lab: may change its links, routes and rules'
complete -c vnet -n '__fish_seen_subcommand_from exec; and __vnet_given "-f -n" -eq 1' -x -a '(__vnet_names nodes)'
complete -c vnet -n '__fish_seen_subcommand_from exec; and __vnet_given "-f -n" -eq 2' -x -a '(__fish_complete_command)'
complete -c vnet -n '__fish_seen_subcommand_from exec; and __vnet_given "-f -n" -ge 3' -F
complete -c vnet -n '__fish_seen_subcommand_from partition' -s h -l help -d 'show this help message and exit'
complete -c vnet -n '__fish_seen_subcommand_from partition' -s f -r -F -d 'the project\'s settings; default: vnet.toml here or above'
complete -c vnet -n '__fish_seen_subcommand_from partition' -s n -x -a '(__vnet_names labs)' -d 'the lab\'s name; default: VNET_LAB, or that of the project here'
complete -c vnet -n '__fish_seen_subcommand_from partition' -s q -d 'say nothing but errors'
complete -c vnet -n '__fish_seen_subcommand_from partition' -s v -d 'show each command before it runs'
complete -c vnet -n '__fish_seen_subcommand_from partition' -l debug -d 'show a traceback with an error'
complete -c vnet -n '__fish_seen_subcommand_from partition' -l version -d 'show program\'s version number and exit'
complete -c vnet -n '__fish_seen_subcommand_from partition' -l for -x -d 'heal after that time, by the kernel itself'
complete -c vnet -n '__fish_seen_subcommand_from partition' -l seed -x -d 'repeat a random choice'
complete -c vnet -n '__fish_seen_subcommand_from partition' -l dry-run -d 'print the commands, run none'
complete -c vnet -n '__fish_seen_subcommand_from partition' -l json -d 'print the cut as JSON'
complete -c vnet -n '__fish_seen_subcommand_from partition; and __vnet_given "-f -n --for --seed" -eq 1' -x -a 'disjoint split isolate oneway halves one majority minority-third bridge majorities-ring fullmesh show run'
complete -c vnet -n '__fish_seen_subcommand_from partition; and __vnet_given "-f -n --for --seed" -ge 2' -x -a '(__vnet_names (contains -- run (commandline -opc); and echo nodes; or echo guests))'
complete -c vnet -n '__fish_seen_subcommand_from run' -s h -l help -d 'show this help message and exit'
complete -c vnet -n '__fish_seen_subcommand_from run' -s f -r -F -d 'the project\'s settings; default: vnet.toml here or above'
complete -c vnet -n '__fish_seen_subcommand_from run' -s n -x -a '(__vnet_names labs)' -d 'the lab\'s name; default: VNET_LAB, or that of the project here'
complete -c vnet -n '__fish_seen_subcommand_from run' -s q -d 'say nothing but errors'
complete -c vnet -n '__fish_seen_subcommand_from run' -s v -d 'show each command before it runs'
complete -c vnet -n '__fish_seen_subcommand_from run' -l debug -d 'show a traceback with an error'
complete -c vnet -n '__fish_seen_subcommand_from run' -l version -d 'show program\'s version number and exit'
complete -c vnet -n '__fish_seen_subcommand_from run' -l only -x -a '(__vnet_names programs)' -d 'run these guests\' commands; the others are up all the same'
complete -c vnet -n '__fish_seen_subcommand_from run' -l exclude -x -a '(__vnet_names programs)' -d 'run all but these guests\' commands'
complete -c vnet -n '__fish_seen_subcommand_from run' -l mode -x -a 'stop-on-failure wait-all-successful' -d 'when to stop; default: the first'
complete -c vnet -n '__fish_seen_subcommand_from run' -l kill-after -x -d 'from TERM to KILL; default: 10'
complete -c vnet -n '__fish_seen_subcommand_from run' -l ready-limit -x -d 'to get ready; default: 60'
complete -c vnet -n '__fish_seen_subcommand_from run' -l logs -x -a '(__fish_complete_directories)' -d 'write what each guest prints to FOLDER/GUEST.log, too'
complete -c vnet -n '__fish_seen_subcommand_from run; and __vnet_given "-f -n --only --exclude --mode --kill-after --ready-limit --logs" -ge 1' -x -a '(__vnet_names programs)'
complete -c vnet -n '__fish_seen_subcommand_from status' -s h -l help -d 'show this help message and exit'
complete -c vnet -n '__fish_seen_subcommand_from status' -s f -r -F -d 'the project\'s settings; default: vnet.toml here or above'
complete -c vnet -n '__fish_seen_subcommand_from status' -s n -x -a '(__vnet_names labs)' -d 'the lab\'s name; default: VNET_LAB, or that of the project here'
complete -c vnet -n '__fish_seen_subcommand_from status' -s q -d 'say nothing but errors'
complete -c vnet -n '__fish_seen_subcommand_from status' -s v -d 'show each command before it runs'
complete -c vnet -n '__fish_seen_subcommand_from status' -l debug -d 'show a traceback with an error'
complete -c vnet -n '__fish_seen_subcommand_from status' -l version -d 'show program\'s version number and exit'
complete -c vnet -n '__fish_seen_subcommand_from status' -l probe -d 'try who reaches whom, with real packets'
complete -c vnet -n '__fish_seen_subcommand_from status' -l json -d 'print it as JSON'
complete -c vnet -n '__fish_seen_subcommand_from status' -l graph -x -a 'dot mermaid svg' -d 'print a picture: for Graphviz, for Markdown, or drawn'
complete -c vnet -n '__fish_seen_subcommand_from doctor' -s h -l help -d 'show this help message and exit'
complete -c vnet -n '__fish_seen_subcommand_from doctor' -s f -r -F -d 'the project\'s settings; default: vnet.toml here or above'
complete -c vnet -n '__fish_seen_subcommand_from doctor' -s n -x -a '(__vnet_names labs)' -d 'the lab\'s name; default: VNET_LAB, or that of the project here'
complete -c vnet -n '__fish_seen_subcommand_from doctor' -s q -d 'say nothing but errors'
complete -c vnet -n '__fish_seen_subcommand_from doctor' -s v -d 'show each command before it runs'
complete -c vnet -n '__fish_seen_subcommand_from doctor' -l debug -d 'show a traceback with an error'
complete -c vnet -n '__fish_seen_subcommand_from doctor' -l version -d 'show program\'s version number and exit'
complete -c vnet -n '__fish_seen_subcommand_from doctor' -l json -d 'print it as JSON'
