#!/usr/bin/env bash
# A hub behind a company's certificate: company.sh DREAMFUSE MODEL_FOLDER. Its root signs an intermediate, which signs the hub's
# proxy; the client is told of the root alone. Needs Python and OpenSSL.
set -euo pipefail
dreamfuse=$(realpath "$1") model=$(realpath "$2") here=$(realpath "$(dirname "$0")")
work=$(mktemp -d) hub=
trap '[ -z "$hub" ] || kill $hub; rm -rf "$work"' EXIT
cd "$work"
days="-days 2 -nodes -newkey rsa:2048 -sha256"
openssl req -x509 $days -keyout root.key -out root.pem -subj "/CN=A company's root" -addext basicConstraints=critical,CA:true 2> openssl.log
openssl req -x509 $days -keyout other.key -out other.pem -subj "/CN=Another root" -addext basicConstraints=critical,CA:true 2>> openssl.log
signed() { # NAME SIGNER SUBJECT EXTENSIONS
  openssl req $days -keyout "$1.key" -out "$1.csr" -subj "$3" 2>> openssl.log
  openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days 2 -sha256 -extfile <(echo "$4") -out "$1.pem" 2>> openssl.log
}
signed middle root "/CN=A company's proxy" "basicConstraints=critical,CA:true"
signed leaf middle "/CN=localhost" "subjectAltName=DNS:localhost,IP:127.0.0.1"
cat leaf.pem middle.pem > chain.pem
python3 "$here/hub.py" 8918 "$model" chain.pem leaf.key & hub=$!
sleep 1
export HF_ENDPOINT=https://localhost:8918
unset SSL_CERT_DIR SSL_CERT_FILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE
job() { # NAME [VARIABLE=VALUE ...]
  env HF_HOME="$work/home-$1" "${@:2}" "$dreamfuse" --threads 1 prior sample "a red apple" --prior toy/model --steps 1 -o "$1.png" > "$1.log" 2>&1
}
taken() { job "$@" || { echo "$*: refused"; cat "$1.log"; exit 1; }; [ -s "$1.png" ]; echo "$2: taken"; }
refused() { # NAME WORDS VARIABLE=VALUE
  if job "$1" "${@:3}"; then echo "$*: taken"; exit 1; fi
  grep -q "$2" "$1.log" || { cat "$1.log"; exit 1; }
  echo "${3:-no certificate}: refused: $(tail -n 1 "$1.log")"
}
for variable in SSL_CERT_FILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE; do taken $variable $variable=root.pem; done
cat other.pem root.pem > both.pem
taken several SSL_CERT_FILE=both.pem
mkdir folder; cp root.pem other.pem folder
taken folder SSL_CERT_DIR=folder
refused none "UnknownIssuer (SSL_CERT_FILE"
refused wrong UnknownIssuer SSL_CERT_FILE=other.pem
: > empty.pem
refused empty SSL_CERT_FILE SSL_CERT_FILE=empty.pem
refused missing SSL_CERT_FILE SSL_CERT_FILE=nowhere.pem

# The caches of shared clusters behind the same proxy: a crowd at once, and again without locks and links.
cc -shared -fPIC -O1 -o without.so "$here/without.c"
for library in "" "$work/without.so"; do
  export HF_HOME=$work/crowd-${library:+without} SSL_CERT_FILE=$work/root.pem
  for i in $(seq 30); do
    LD_PRELOAD=$library "$dreamfuse" --threads 1 prior sample "a red apple" --prior toy/model --steps 1 -o "crowd$i.png" > "crowd$i.log" 2>&1 || echo "$i" >> failures &
    jobs[$i]=$!
  done
  for i in $(seq 30); do wait "${jobs[$i]}"; done
  [ ! -e failures ] || { cat failures crowd*.log; exit 1; }
  echo "30 jobs at once${library:+, locks and links taken away}: 0 failures"
done
if [ "$(id -u)" = 0 ] && command -v setpriv > /dev/null; then as="setpriv --reuid=65534 --clear-groups"; chmod -R a+rX "$work"; else as=; fi
mkdir -m 777 out
chmod -R a-w "$HF_HOME"
HOME=$work/out $as "$dreamfuse" prior sample "a red apple" --prior toy/model --steps 1 -o out/x.png > out.log 2>&1 || { cat out.log; exit 1; }
chmod -R u+w "$HF_HOME"
echo "a read-only cache: read"
