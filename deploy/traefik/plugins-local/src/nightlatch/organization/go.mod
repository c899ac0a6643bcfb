module nightlatch/organization

go 1.22
