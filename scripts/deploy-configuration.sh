#!/usr/bin/env bash
# Checks a configuration and puts it live in a deployed stack, within a minute and without a build. Unless the notifier
# works with it, the configuration of before comes back.
#
#   scripts/deploy-configuration.sh STACK FILE.toml
#
# Needs `stentor` in the version of the functions, the AWS CLI, Python 3, and permission to update the stack.
set -euo pipefail
stack=${1:?usage: $0 STACK FILE.toml} file=${2:?usage: $0 STACK FILE.toml}

describe() { aws cloudformation describe-stacks --stack-name "$stack" --output text --query "Stacks[0].$1"; }
parameter() { describe "Parameters[?ParameterKey=='$1'].ParameterValue | [0]"; }

# Updates the stack with another layer, and nothing else.
use_layer() {
    local parameters=("ParameterKey=ConfigurationLayerArn,ParameterValue=$1") key
    for key in $keys; do
        [ "$key" = ConfigurationLayerArn ] || parameters+=("ParameterKey=$key,UsePreviousValue=true")
    done
    aws cloudformation update-stack --stack-name "$stack" --use-previous-template \
        --capabilities CAPABILITY_NAMED_IAM CAPABILITY_AUTO_EXPAND --parameters "${parameters[@]}" >/dev/null &&
        aws cloudformation wait stack-update-complete --stack-name "$stack"
}

# Its mistakes with line and column, and whether the secret has a credential for each target.
stentor check --config "$file" --stack "$stack"

# One assignment a line: the shell sees the status of the last one only.
keys=$(describe 'Parameters[].ParameterKey')
path=$(parameter ConfigurationPath)
old=$(parameter ConfigurationLayerArn)
# An update without a name would reset its parameter to the default.
case " ${keys//[[:space:]]/ } " in
*" ConfigurationLayerArn "*) ;;
*)
    echo "The parameters of the stack $stack cannot be read, or it is of an older version." >&2
    exit 1
    ;;
esac
[ "$old" != None ] || old=

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
name=${path#/opt/}
install -D -m 644 "$file" "$work/layer/$name"
(cd "$work/layer" && python3 -m zipfile --create ../layer.zip "${name%%/*}")
layer=$(aws lambda publish-layer-version --layer-name "$stack-configuration" --zip-file "fileb://$work/layer.zip" \
    --compatible-runtimes provided.al2023 --output text --query LayerVersionArn)

# A sweep is harmless, and needs the same configuration as everything else.
works() {
    local error
    echo '{"stentor":"sweep"}' > "$work/sweep.json"
    error=$(aws lambda invoke --function-name "$stack-notifier" --payload "fileb://$work/sweep.json" --cli-read-timeout 90 \
        --output text --query FunctionError "$work/answer.json") || return
    [ "$error" = None ] || { cat "$work/answer.json" >&2 && return 1; }
}

if ! { use_layer "$layer" && works; }; then
    echo "The notifier does not work with $file." >&2
    if use_layer "$old"; then
        echo "The old configuration is back." >&2
    else
        echo "The stack is $(describe StackStatus) with the layer $(parameter ConfigurationLayerArn): look at it." >&2
    fi
    exit 1
fi
echo "$stack uses $file ($layer)."
