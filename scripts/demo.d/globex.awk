# The directory of "globex", as large as one likes: awk -v users=20000 -v groups=2000 -v password=… -f globex.awk > globex.ldif
# The same numbers always give the same directory, so that a demo can be told about.

function person(n) { return sprintf("uid=%s,ou=people,dc=globex,dc=example", uid(n)) }
function uid(n, first, last) {
  first = given[1 + n % givens]; last = family[1 + int(n / givens) % families]
  return tolower(first "." last) (n < givens * families ? "" : int(n / (givens * families)) + 1)
}
BEGIN {
  givens = split("Aaron Abby Adele Aidan Alba Alma Amara Amir Anders Anika Anton Arlo Asa Astrid Aya Basil Bea Bjorn Bodil Boris Cara Celine Cyrus Dalia Dana Dario Delia Edgar Eira Elias Elin Emil Enzo Erik Esme Ewan Fabio Faye Felix Fiona Flora Freya Gala Gavin Gina Greta Gwen Hamza Hana Heidi Ilse Imani Ingrid Iris Isak Jana Jasper Jens Joel Kaia Kian Klara Lars Leif Leila Linus Livia Luca Mabel Maja Malik Marta Milan Mina Naomi Nils Noor Odin Olga Omid Orla Otto Pia Quinn Rania Remy Runa Sami Selma Silas Stella Tariq Tilda Tova Ulf Vera Wanda Xenia Yusuf Zara", given, " ")
  families = split("Abbott Alvarez Arnesen Bakker Baptiste Becker Bianchi Blom Borg Brandao Burke Cabrera Castro Chen Conti Costa Dahl Diaz Dubois Eriksen Esposito Farkas Fischer Flores Fontaine Garcia Gruber Haas Hansen Hassan Hoffman Ivanov Jansen Jensen Jovic Kaya Keller Khan Klein Kumar Lang Larsen Leroy Lim Lopez Lund Mancini Martin Mendes Meyer Molina Moreno Muller Nagy Neumann Nguyen Nielsen Novak Okoro Olsen Ortega Park Patel Pereira Popov Quist Ramos Richter Rossi Ruiz Sanchez Santos Schulz Silva Simic Singh Smit Sousa Suzuki Svensson Takacs Tanaka Torres Tran Urban Vargas Vasquez Vidal Vogel Wagner Walsh Wang Wolf Wong Yamada Yilmaz Young Zhang Ziegler Zimmer", family, " ")
  printf "dn: dc=globex,dc=example\nobjectClass: dcObject\nobjectClass: organization\no: Globex\ndc: globex\n\n"
  printf "dn: cn=rosterd,dc=globex,dc=example\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: rosterd\nuserPassword: %s\n\n", password
  printf "dn: ou=people,dc=globex,dc=example\nobjectClass: organizationalUnit\nou: people\n\n"
  printf "dn: ou=groups,dc=globex,dc=example\nobjectClass: organizationalUnit\nou: groups\n\n"
  for (n = 0; n < users; ++n) {
    first = given[1 + n % givens]; last = family[1 + int(n / givens) % families]
    printf "dn: %s\nobjectClass: inetOrgPerson\nuid: %s\ncn: %s %s\ngivenName: %s\nsn: %s\nmail: %s@globex.example\nemployeeNumber: %d\n\n", person(n), uid(n), first, last, first, last, uid(n), 100000 + n
  }
  # Every tenth group is one whose name a role mapping knows; the others are teams. Ten members each, spread over the people.
  for (g = 0; g < groups; ++g) {
    name = g % 10 == 0 ? sprintf("ns-globex.unit%03d-editors", g / 10) : sprintf("team-%04d", g)
    printf "dn: cn=%s,ou=groups,dc=globex,dc=example\nobjectClass: groupOfNames\ncn: %s\n", name, name
    for (m = 0; m < 10; ++m) printf "member: %s\n", person((g * 10 + m * 7919) % users)
    printf "\n"
  }
}
