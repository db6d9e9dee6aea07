#!/usr/bin/env bash
# Trains the embedded model, its three adapters and a flow head with `ptp`; every step goes on where it was stopped.
# Usage: models/train.sh FOLDER_WITH_TEXT [RUN_FOLDER]
# FOLDER_WITH_TEXT holds stories.txt (texts separated by <|endoftext|>) and any number of other .txt files.
# BASE_SHARES and ADAPTER_SHARES (such as "--share stories=0.35 --share dotnet=0.25") mix the corpora other than by size.
set -euo pipefail
cd "$(dirname "$0")/.."
text="${1:?folder with text}"
run="${2:-runs/default}"
ptp() { dotnet run -c Release --no-build --project Ptp.Reference -- "$@"; }
dotnet build Ptp.Reference -c Release --nologo -v q

plain=()
for file in "$text"/*.txt; do
  name="$(basename "$file" .txt)"
  if [ "$name" != stories ]; then plain+=(--plain "$name=$file"); fi
done

law=(--temperature 0.7 --top-p 0.9)
[ -f "$run/corpus/corpus.json" ] || ptp corpus --stories "$text/stories.txt" "${plain[@]}" --sdk-docs --output "$run/corpus"
[ -f "$run/tokenizer.json" ] || ptp tokenizer train --corpus "$run/corpus" --vocab 2048 --output "$run/tokenizer.json"
# A folder is finished when it holds weights and no optimiser state; what is finished is not made again.
finished() { [ -f "$1/$2" ] && [ ! -f "$1/optimiser.safetensors" ]; }
finished "$run/base" model.safetensors || ptp train --corpus "$run/corpus" --tokenizer "$run/tokenizer.json" --size 4.2M --steps "${BASE_STEPS:-7000}" \
  --lr 2e-3 ${BASE_SHARES:-} --output "$run/base"
# Small models that draft for the base in speculative decoding: size, steps, rate.
for draft in "66k 4000 5e-3" "525k 2500 4e-3"; do
  set -- $draft
  finished "$run/drafts/$1" model.safetensors || ptp train --corpus "$run/corpus" --tokenizer "$run/tokenizer.json" --size "$1" --steps "$2" \
    --lr "$3" ${BASE_SHARES:-} --output "$run/drafts/$1"
done
# Name, pick rule, rank, embedding, rest. Completions are made once per rule, as their u are that rule's.
categorical="--reading categorical --sampler-width 1536 --sampler-depth 1 --continuation 0.7"
for adapter in "ptp race:46 8 linear:2 $categorical" "one-hot inverse-cdf 64 fixed-point" "independent inverse-cdf 64 constant"; do
  set -- $adapter
  finished "$run/$1" adapter.safetensors || ptp distill --model "$run/base" --corpus "$run/corpus" --completions "$run/completions-${2/:/-}" --count 16384 --max-new 128 \
    --max-prompt 64 ${ADAPTER_SHARES:-} --slots 16 --pick-rule "$2" --rank "$3" --embedding "$4" "${@:5}" --steps "${ADAPTER_STEPS:-11000}" "${law[@]}" --output "$run/$1"
done
# A flow head on the independent slots, which stay as they are; it picks by the default rule, on the completions of that rule.
finished "$run/flow" adapter.safetensors || ptp distill --model "$run/base" --corpus "$run/corpus" --completions "$run/completions-race-46" --count 16384 --max-new 128 \
  --max-prompt 64 ${ADAPTER_SHARES:-} --pick-rule race:46 --continuation 0.7 --flow "$run/independent" --flow-tied --flow-width 768 --steps "${FLOW_STEPS:-2200}" \
  "${law[@]}" --output "$run/flow"
ptp eval --model "$run/base" --adapter "$run/ptp" --compare "$run/independent" --data "$run/corpus" "${law[@]}"
