#!/usr/bin/env bash
# Cut the app off and heal, turn about, a second each, for that many seconds: vnet-exec bridge -- ./nemesis.sh SECONDS
set -e
for ((second = 0; second < $1; second++)); do
    if ((second % 2)); then vnet-partition -q fullmesh; else vnet-partition -q isolate app; fi
    sleep 1
done
vnet-partition -q fullmesh
