# The container's health check: whether /healthz/ of this host's web server says 200 within 8 seconds.
# It is bash alone, since a start of Python costs more CPU than the answer.
port="${1:-8000}"
exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
printf 'GET /healthz/ HTTP/1.1\r\nHost: health\r\nConnection: close\r\n\r\n' >&3
read -r -t 8 _version status _reason <&3 || exit 1
[ "$status" = 200 ]
