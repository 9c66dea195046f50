#!/usr/bin/env bash
# Checks a configuration and puts it live in a deployed stack, within a minute and without a build. If the notifier cannot
# start with it, the old configuration comes back.
#
#   scripts/deploy-configuration.sh STACK FILE.toml
#
# Needs `stentor` in the version of the functions, the AWS CLI, Python 3, and permission to update the stack.
set -euo pipefail
stack=${1:?usage: $0 STACK FILE.toml} file=${2:?usage: $0 STACK FILE.toml}

# Its mistakes with line and column, and whether the secret has a credential for each target.
stentor check --config "$file" --stack "$stack"

describe() { aws cloudformation describe-stacks --stack-name "$stack" --output text --query "Stacks[0].$1"; }

# Updates the stack with another layer, and nothing else.
use_layer() {
    local parameters=("ParameterKey=ConfigurationLayerArn,ParameterValue=$1") key
    for key in $(describe 'Parameters[].ParameterKey'); do
        [ "$key" = ConfigurationLayerArn ] || parameters+=("ParameterKey=$key,UsePreviousValue=true")
    done
    aws cloudformation update-stack --stack-name "$stack" --use-previous-template \
        --capabilities CAPABILITY_NAMED_IAM CAPABILITY_AUTO_EXPAND --parameters "${parameters[@]}" >/dev/null
    aws cloudformation wait stack-update-complete --stack-name "$stack"
}

parameter() { describe "Parameters[?ParameterKey=='$1'].ParameterValue | [0]"; }
path=$(parameter ConfigurationPath) old=$(parameter ConfigurationLayerArn)
[ "$old" != None ] || old=

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
install -m 644 "$file" "$work/${path#/opt/}"
(cd "$work" && python3 -m zipfile --create layer.zip "${path#/opt/}")
layer=$(aws lambda publish-layer-version --layer-name "$stack-configuration" --zip-file "fileb://$work/layer.zip" \
    --compatible-runtimes provided.al2023 --output text --query LayerVersionArn)
use_layer "$layer"

# A sweep is harmless, and needs the same configuration as everything else.
echo '{"stentor":"sweep"}' > "$work/sweep.json"
error=$(aws lambda invoke --function-name "$stack-notifier" --payload "fileb://$work/sweep.json" --output text \
    --query FunctionError "$work/answer.json")
if [ "$error" != None ]; then
    echo "The notifier cannot work with $file: $(cat "$work/answer.json")" >&2
    use_layer "$old"
    echo "The old configuration is back." >&2
    exit 1
fi
echo "$stack uses $file ($layer)."
