# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables of lib.sh and of the tests
# SPDX-License-Identifier: MIT
#
# For tests that ask the store twice: through nginx, by http of lib.sh, and
# straight at the web's FastCGI socket.  After lib.sh:
#
#	. "$(dirname "$0")/doors.sh"
#	fcgi POST /checkout/key-1
#	is "$status" 200 "FastCGI: a checkout is accepted"

cgi_fcgi=$(command -v cgi-fcgi)

# An error as nginx and the web both write it.
is_json_error() {
	[[ $body =~ ^\{\ ?\"error\":\ \"[^\"]+\"\ ?\}$ ]] &&
	    find_header content-type && [ "$found" = application/json ] &&
	    find_header cache-control && [ "$found" = no-store ]
}

# fcgi METHOD PATH [NAME=VALUE...]: as http, but asks the web without nginx,
# with these FastCGI parameters.  An empty method or path is not sent at all.
# fcgi_body names a file with the body.
fcgi_body=/dev/null
fcgi() {
	local method=$1 path=$2

	shift 2
	env -i ${method:+"REQUEST_METHOD=$method"} \
		${path:+"DOCUMENT_URI=$path"} "$@" \
		"$cgi_fcgi" -bind -connect "$work/web.sock" <"$fcgi_body" \
		>"$work/answer" 2>/dev/null
	take_answer
}

# Splits $work/answer into status, headers and body.
take_answer() {
	local answer

	take_body "$work/answer"
	answer=$body
	echo "${answer%%$'\r\n\r\n'*}" >"$work/headers"
	body=${answer#*$'\r\n\r\n'}
	[ "$body" != "$answer" ] || body=
	find_header status
	status=${found%% *}
}

# repeat TEXT N
repeat() {
	local text=$1

	while [ ${#text} -lt $((${#1} * $2)) ]; do
		text+=$text
	done
	echo "${text:0:${#1} * $2}"
}

# field NAME: its value in the last answer, a JSON object without nested ones.
field() {
	sed -n "s/.*\"$1\" *: *\"\{0,1\}\([^,\"}]*\).*/\1/p" <<<"$body"
}
