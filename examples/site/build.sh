#!/bin/sh
# Fills the template; what lies in dist/ afterwards is the site.
set -eu
mkdir -p dist
sed -e "s/@TITLE@/A site from Evenkeel/" -e "s/@WORDS@/$(wc -w <words.txt) words/" page.html >dist/index.html
cp words.txt dist/
