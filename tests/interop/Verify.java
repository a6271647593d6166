import java.io.FileInputStream;
import java.net.URI;
import java.security.cert.*;
import java.util.*;

/** `java Verify.java ROOT CHAIN ocsp|crl`: PKIX with revocation of the leaf, nothing but what the certificate names. */
public class Verify {
    public static void main(String[] words) throws Exception {
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        List<Certificate> chain = new ArrayList<>(factory.generateCertificates(new FileInputStream(words[1])));
        X509Certificate root = (X509Certificate) factory.generateCertificate(new FileInputStream(words[0]));
        CertPathValidator validator = CertPathValidator.getInstance("PKIX");
        PKIXRevocationChecker checker = (PKIXRevocationChecker) validator.getRevocationChecker();
        Set<PKIXRevocationChecker.Option> options = EnumSet.of(PKIXRevocationChecker.Option.NO_FALLBACK);
        if (words[2].equals("crl")) options.add(PKIXRevocationChecker.Option.PREFER_CRLS);
        else options.add(PKIXRevocationChecker.Option.ONLY_END_ENTITY);
        checker.setOptions(options);
        PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(root, null)));
        parameters.addCertPathChecker(checker);
        try {
            validator.validate(factory.generateCertPath(chain), parameters);
            System.out.println("good");
        } catch (CertPathValidatorException refused) {
            System.out.println(refused.getReason() + ": " + refused.getMessage());
        }
    }
}
