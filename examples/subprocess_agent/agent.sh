#!/bin/sh
# An agent for every machine with a POSIX shell: it calls the tool that was named to it, once a step; by default `wait`.
# goal-drift run release_manager --agent "exec:sh examples/subprocess_agent/agent.sh canary_score"
# `type` is the first key of every message and `step` the second, so that a shell can read them.
tool=${1:-wait}
while IFS= read -r line; do
  step=${line#*'"step":'}
  step=${step%%[,\}]*}
  case $line in
    '{"type":"hello",'*) echo '{"type":"hello","protocol":1,"name":"shell"}' ;;
    '{"type":"turn",'*) printf '{"type":"call","step":%s,"tool":"%s","args":{}}\n' "$step" "$tool" ;;
    '{"type":"result",'*) printf '{"type":"end_turn","step":%s}\n' "$step" ;;
    '{"type":"end"}') exit 0 ;;
  esac
done
